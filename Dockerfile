# syntax=docker/dockerfile:1
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --profile dist --locked && cp target/dist/kassir /kassir

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --home-dir /var/lib/kassir --create-home kassir
COPY --from=build /kassir /usr/local/bin/kassir
USER kassir
WORKDIR /var/lib/kassir
ENV KASSIR__LISTEN=0.0.0.0:8080 \
    KASSIR__SECRETS__MASTER_KEY_FILE=/var/lib/kassir/master.key \
    KASSIR__STORE__URL=sqlite:/var/lib/kassir/kassir.db \
    KASSIR__LOG__FORMAT=json
VOLUME /var/lib/kassir
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["kassir"]
CMD ["serve"]
