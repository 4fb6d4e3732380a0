# The director, its agent and its command line: one static program and nothing else.
# No syntax line and no cache mounts, so that any builder will do.

FROM golang:1.26.8-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# Where the context has no .git, as in a work tree, the caller says what is built.
ARG VERSION COMMIT DATE
RUN make build ${VERSION:+VERSION=$VERSION} ${COMMIT:+COMMIT=$COMMIT} ${DATE:+DATE=$DATE} && mkdir /state

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /src/bin/signpost /signpost
COPY LICENSE NOTICE /
# A volume takes its owner from here; all else may be read-only.
COPY --from=build --chown=65532:65532 /state /var/lib/signpost
USER 65532:65532
ENV SIGNPOST_CONFIG=/etc/signpost/signpost.yaml SIGNPOST_STATE_DIR=/var/lib/signpost
VOLUME /var/lib/signpost
EXPOSE 8000 8001
# There is no shell and no curl here: the program asks itself, where the environment
# or the file lets it listen. It says no while SIGTERM is being obeyed, and before
# there is anything to answer with. An agent's container needs --no-healthcheck.
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s --retries=3 CMD ["/signpost", "ready"]
ENTRYPOINT ["/signpost"]
CMD ["serve"]
