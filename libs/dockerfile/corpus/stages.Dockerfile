ARG a
FROM scratch AS One
RUN x
FROM one
COPY --from=ONE a b
FROM 0
