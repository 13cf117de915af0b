"""Names that every MicroPython has in its own read-only memory.

They are of builtins, errors and C modules that device code has no use for. A name of the program
that is written as one of them costs a module no memory. Taken from the interpreter that the tests
run; the ESP32's has them too (py/qstrdefs.h and the modules that both ports build in).
"""

_LISTED = """
ArithmeticError AssertionError BytesIO EACCES EADDRINUSE EAGAIN EALREADY EBADF ECONNABORTED
ECONNREFUSED EEXIST EHOSTUNREACH EINPROGRESS EISDIR ENOBUFS ENODEV ENOENT ENOMEM ENOTCONN
EOFError EOPNOTSUPP EPERM GeneratorExit IndentationError LookupError NameError OrderedDict
OverflowError RuntimeError StopAsyncIteration StopIteration StringIO SyntaxError ViperTypeError
ZeroDivisionError a2b_base64 acos acosh appendleft asin asinh atan atan2 atanh b2a_base64 bin
callable ceil center choice compile complex copysign cos cosh degrees deque difference_update
dir disable dump enable erf erfc errorcode eval exec exp expm1 fabs factorial filter float fmod
frexp fromkeys frozenset gamma getrandbits heapify heappop heappush hex inf input intersection
intersection_update isalpha isclose isdisjoint isenabled isfinite isinf islower isnan isspace
issubclass issubset issuperset isupper ldexp lgamma locals log10 log2 lstrip match modf nan oct
pi polar popitem popleft pow radians randint randrange rect reverse reversed rfind rindex round
rsplit rstrip search setattr sin sinh slice sort splitlines sqrt sub symmetric_difference
symmetric_difference_update tan tanh tau to_bytes trunc unhexlify uniform union upper
"""
NAMES = tuple(_LISTED.split())
