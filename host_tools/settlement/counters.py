"""What a worker has done since its start, and how it is: plain integers that its thread changes.

Counting costs the settling loop an addition a batch; whoever shows the numbers
(host_tools/operations) reads them from another thread and may see two that are a batch apart.
"""

# Upper bounds of the classes of a duration, in milliseconds; what is longer counts in the total.
CLASSES_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)


class Durations:
    """How often something took how long."""

    def __init__(self) -> None:
        self.count = 0
        self.sum_ms = 0
        self.classes = [0] * len(CLASSES_MS)

    def add(self, took_ms: int) -> None:
        self.count += 1
        self.sum_ms += took_ms
        for place, most_ms in enumerate(CLASSES_MS):
            if took_ms <= most_ms:
                self.classes[place] += 1
                return


class Counters:
    """All of it. Messages and readings count when they are committed, repeated ones again."""

    def __init__(self) -> None:
        self.messages = 0
        self.readings = 0
        self.rejects: dict[int, int] = {}  # by reason
        self.batches = 0
        self.overtaken = 0  # batches given up because a shard had another owner
        self.acknowledgements = 0  # sent to modules
        self.backlog = 0  # messages that wait, as far as the broker tells
        self.batch = Durations()  # a whole transaction
        self.commit = Durations()  # writing its rows and the sync
        self.shards: tuple[int, ...] = ()
        self.validated = 0  # entries looked at by validation
        self.validation_waiting = 0  # points that wait for it, as last looked for
        self.connected = False  # the broker serves every shard held
        self.turned_ms = 0  # when the loop last began a turn, in the clock's ticks

    def refused(self, reason: int) -> None:
        self.rejects[reason] = self.rejects.get(reason, 0) + 1
