#!/usr/bin/env x
# syntax=a
FROM a
