# syntax=docker/dockerfile:1.7-labs@sha256:00
# check=skip=A,B;error=true
# ESCAPE = ` 
FROM a
RUN a `
 b
