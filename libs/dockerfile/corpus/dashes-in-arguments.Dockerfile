FROM a
RUN x --y
COPY #--a --from=b c
EXPOSE ["a", 1]
RUN b \ \