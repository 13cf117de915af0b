"""The contract between module and host: the bytes and the sums. Pure; runs on both interpreters."""
