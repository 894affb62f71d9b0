FROM a
COPY --fron=b a b
