FROM a
COPY --from=b --link --from=c a b
