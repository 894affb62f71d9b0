FROM --platform=$BUILDPLATFORM a
COPY --from=0 --chown="a b":c --chmod='u=rw' --link --parents=TRUE --exclude=a\ b --exclude=*.c x y
ADD --checksum=sha256:0 --keep-git-dir=false --unpack -- --a /b
RUN --network=none --security=insecure x
