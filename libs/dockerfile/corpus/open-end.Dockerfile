FROM a
RUN b \ \