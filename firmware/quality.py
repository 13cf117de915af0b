"""Supply quality of one service point and its hard limits, from 1-second registers: mV, mA, mHz.

Pure: samples in, events through `tell`, one hold out. What a meter averages over a second hides
dips shorter than 0.2 to 0.7 s: class "S-register, not IEC 61000-4-30". Never touches a relay.
"""

from array import array

from protocol import codes
from protocol.units import const

_BAND_MHZ = const(200)  # GB/T 15945; 500 in a small system
_RATE_MHZ = const(2500)  # 0.5 Hz/s over 5 s
_UNBALANCE_E4 = const(200)
_GAP_MS = const(5000)  # what was not seen for so long was not seen to last
_EARLY_MS = const(250)  # samples a little early still span their time
_WINDOW_S = const(600)
_ROWS = const(16)  # more than ten, a divisor of what _rows wraps at
_TWO = const(1)  # longer than this: two samples in a row
_LAST_ROW = const(10)

# Hard limits, ms: above 1.20 Un, below 0.75 Un, above 1.1 Imax, above 1.5 Imax; then the wait.
_GUARD_MS = (1000, 5000, 60000, 2000)
_BACK_MS = const(180000)
_VOLTAGE = const(1)  # bits of settings.protect
_AMPERES = const(2)


class Quality:
    """`held` has the bits of settings.protect whose limit was passed and is not over yet."""

    def __init__(self, settings, tell, held=0):
        """tell(1 for a begin, code, *figures) -> True when told; held: bits at the power-off."""
        self.settings = settings
        self.tell = tell
        self.held = held & settings.protect
        self._dt_ms = 0
        self._runs = array("i", bytes(4 * 9 * _LAST_ROW))  # [ms, extreme, told] by what and phase
        self._guards = array("i", bytes(4 * 6))  # ms
        self._ring = array("i", bytes(4 * _ROWS))  # frequency, one a second
        self._rows = 0  # in a row
        self._window = 0
        self._sums = ()

    def look(self, dt_ms, now_s, volts, amps, frequency_mhz, is_open):
        """One sample of every phase, `dt_ms` after the one before; None for what is not known."""
        self._dt_ms = dt_ms
        if dt_ms > _GAP_MS:  # what had not begun yet starts anew; what goes on may have gone on
            for at in range(0, len(self._runs), 3):
                if not self._runs[at + 2]:
                    self._runs[at] = 0
            for at in range(5):  # the last one, an open relay, needs no meter
                self._guards[at] = 0
        nominal_mv = self.settings.nominal_mv
        if nominal_mv and volts:
            self._voltages(volts, nominal_mv)
            self._frequency(frequency_mhz or 0)
            self._aggregate(now_s // _WINDOW_S, volts, amps, frequency_mhz)
        imax_ma = self.settings.current_max_ma
        for phase, ma in enumerate(amps or ()):
            back = ma < imax_ma
            self._step(
                codes.OVERCURRENT, phase, ma * 10 > imax_ma * 11, back, ma, 60000 - _EARLY_MS
            )
            self._step(
                codes.OVERCURRENT_HIGH, phase, ma * 2 > imax_ma * 3, back, ma, 2000 - _EARLY_MS
            )
        if self.settings.protect:
            self._guard(volts, amps, nominal_mv, imax_ma, is_open)

    def _step(self, what, phase, beyond, back, value, need_ms):
        """One episode of one kind: begins after `need_ms` beyond the limit, ends when back."""
        runs, at = self._runs, ((what - 1) * 3 + phase) * 3
        run_ms = runs[at]
        if not run_ms:
            if not beyond:
                return
            runs[at], runs[at + 1] = 1, value
        else:
            if back if runs[at + 2] else not beyond:
                if runs[at + 2] == 1:
                    self.tell(0, codes.QUALITY, what, phase, 0, runs[at + 1], run_ms // 1000)
                runs[at] = runs[at + 2] = 0
                return
            runs[at] = min(run_ms + self._dt_ms, 0x3FFFFFFF)
            if value < runs[at + 1] if what <= codes.FREQUENCY_LOW else value > runs[at + 1]:
                runs[at + 1] = value
        if not runs[at + 2] and runs[at] > need_ms:
            told = self.tell(1, codes.QUALITY, what, phase, 1, runs[at + 1], runs[at] // 1000)
            runs[at + 2] = 1 if told else 2

    def _voltages(self, volts, nominal_mv):
        pct = nominal_mv // 100
        for phase, mv in enumerate(volts):
            self._step(codes.SUPPLY_LOST, phase, mv < 5 * pct, mv >= 7 * pct, mv, 0)
            lost = self._runs[3 * phase + 2] > 0  # it is the first kind of all
            under = mv < 90 * pct and not lost
            self._step(codes.UNDERVOLTAGE, phase, under, mv >= 92 * pct or lost, mv, _TWO)
            self._step(codes.OVERVOLTAGE, phase, mv > 110 * pct, mv <= 108 * pct, mv, _TWO)
        if len(volts) == 3:
            low, high = min(volts), max(volts)
            broken = high > 120 * pct and low < 80 * pct
            back = high < 110 * pct and low > 90 * pct
            self._step(codes.NEUTRAL_LOST, 0, broken, back, high, _TWO)
            e4 = unbalance_e4(*volts)
            if e4 is not None:
                back = e4 < _UNBALANCE_E4 * 9 // 10
                self._step(codes.UNBALANCE, 0, e4 > _UNBALANCE_E4, back, e4, 60000 - _EARLY_MS)

    def _frequency(self, mhz):
        """Only over samples a second apart: the ring starts again where one is missing."""
        if not mhz or not 700 < self._dt_ms < 1500:
            self._rows = 0
            return
        ring, rows = self._ring, self._rows
        ring[rows % _ROWS] = mhz
        self._rows = rows = rows + 1 if rows < 2 * _ROWS else _ROWS + 1
        if rows > 5:
            rate = abs(mhz - ring[(rows - 6) % _ROWS])
            back = rate < _RATE_MHZ * 9 // 10
            self._step(codes.FREQUENCY_RATE, 0, rate > _RATE_MHZ, back, rate, 2000 - _EARLY_MS)
        if rows >= 10:
            mean = sum([ring[(rows - 1 - ago) % _ROWS] for ago in range(10)]) // 10
            off = mean - (60000 if mean > 55000 else 50000)
            band, back = _BAND_MHZ, _BAND_MHZ * 9 // 10
            self._step(codes.FREQUENCY_LOW, 0, off < -band, off > -back, mean, _TWO)
            self._step(codes.FREQUENCY_HIGH, 0, off > band, off < back, mean, _TWO)

    def _aggregate(self, window, volts, amps, frequency_mhz):
        """Ten minutes of the clock: root of the mean square, told when the next ten begin."""
        if window != self._window or len(self._sums) != len(volts):
            for phase, (count, squares, low, high, ma, ma_max, mhz) in enumerate(self._sums):
                short = int(count * 10 < _WINDOW_S * 9)
                figures = (isqrt(squares // count), low, high, mhz // count, ma // count)
                self.tell(0, codes.AGGREGATE, phase, count, *(figures + (ma_max, short)))
            self._window = window
            # of a phase: samples, squares, lowest, highest mV, sum and highest mA, sum of mHz
            self._sums = [[0, 0, 0x3FFFFFFF, 0, 0, 0, 0] for _ in volts]
        for phase, sums in enumerate(self._sums):
            mv, ma = volts[phase], amps[phase] if phase < len(amps or ()) else 0
            sums[0] += 1
            sums[1] += mv * mv
            sums[2], sums[3] = min(sums[2], mv), max(sums[3], mv)
            sums[4] += ma
            sums[5] = max(sums[5], ma)
            sums[6] += frequency_mhz or 0

    def _guard(self, volts, amps, nominal_mv, imax_ma, is_open):
        """Hard limits: from here on nobody waits for a network."""
        if self.settings.protect & _VOLTAGE and volts and nominal_mv:
            low, high, pct = min(volts), max(volts), nominal_mv // 100
            if self._lasts(0, high > 120 * pct) | self._lasts(1, low < 75 * pct):
                self.held |= _VOLTAGE  # both timers must run, hence no `or`
            if self._lasts(4, low >= 90 * pct and high <= 107 * pct):
                self.held &= ~_VOLTAGE
        if self.settings.protect & _AMPERES and amps:
            high = max(amps)
            if self._lasts(2, high * 10 > imax_ma * 11) | self._lasts(3, high * 2 > imax_ma * 3):
                self.held |= _AMPERES
            if self._lasts(5, is_open):
                self.held &= ~_AMPERES

    def _lasts(self, at, true):
        """Whether a condition has held for its time."""
        guards = self._guards
        guards[at] = 0 if not true else guards[at] + self._dt_ms if guards[at] else 1
        need_ms = _GUARD_MS[at] if at < 4 else _BACK_MS
        guards[at] = min(guards[at], need_ms)
        return guards[at] > need_ms - _EARLY_MS


def unbalance_e4(a_mv, b_mv, c_mv):
    """U2/U1 in hundredths of a percent from phase voltages taken as 120 degrees apart.

    None where a phase is off the mean by more than 10 %: with a neutral that floats it means
    nothing. sqrt(a2 + b2 + c2 - ab - bc - ca) / (a + b + c), in tenths of a volt: small integers.
    """
    total = (a_mv + b_mv + c_mv) // 100
    low, high = min(a_mv, b_mv, c_mv), max(a_mv, b_mv, c_mv)
    if total < 3 or high * 30 > total * 1100 or low * 30 < total * 900:
        return None
    ab, bc, ca = (a_mv - b_mv) // 100, (b_mv - c_mv) // 100, (c_mv - a_mv) // 100
    return isqrt((ab * ab + bc * bc + ca * ca) * 5000) * 100 // total


def isqrt(number):
    """The largest integer whose square is not above `number`."""
    if number < 2:
        return number
    root, rest = 1, number
    while rest:
        root, rest = root << 1, rest >> 2
    while True:
        nearer = root + number // root >> 1
        if nearer >= root:
            return root
        root = nearer
