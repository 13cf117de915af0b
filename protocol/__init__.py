"""The contract between module and host: the bytes and the sums. Runs on both interpreters."""
