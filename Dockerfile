# lake-writer, sales-producer, lake-dashboard and lake-sql, each as a small image of its own that runs as nobody special:
#   docker build --target lake-writer .      also --target sales-producer, lake-dashboard and lake-sql
ARG DEBIAN=debian:12.12-slim

FROM rust:1.95.0-bookworm AS build
WORKDIR /src
COPY rust-toolchain.toml Cargo.toml Cargo.lock ./
COPY lake-writer lake-writer
COPY producer producer
COPY dashboard dashboard
# Of the workspace too, and built only for its own image: its query engine takes longer than all the rest.
COPY sql-endpoint sql-endpoint
COPY schemas schemas
# The caches keep the compiled dependencies between builds, so the programs are copied out of them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --release --bins \
    && install -D -t /out target/release/lake-writer target/release/sales-producer target/release/lake-dashboard

FROM build AS build-sql
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --release --package lake-sql --bins \
    && install -D -t /out target/release/lake-sql

FROM node:20.19-bookworm AS page
COPY dashboard/page /src
RUN LAKE_WRITER_CACHE=/tmp/modules /src/build /out

FROM ${DEBIAN} AS base
# curl asks for health; libgssapi-krb5-2 is loaded at run time when HDFS wants Kerberos.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl libgssapi-krb5-2 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin lake \
    && install -d -o lake -g lake /lake \
    && install -d -o lake -g lake -m 700 /users
COPY schemas /usr/share/lake-writer/schemas
USER lake

FROM base AS lake-writer
COPY --from=build /out/lake-writer /usr/local/bin/lake-writer
# A commit in hand is finished before the end: SIGTERM is the way to stop.
STOPSIGNAL SIGTERM
ENTRYPOINT ["lake-writer"]
CMD ["run", "--config", "/etc/lake-writer/lake-writer.toml"]

FROM base AS sales-producer
COPY --from=build /out/sales-producer /usr/local/bin/sales-producer
ENTRYPOINT ["sales-producer"]

FROM base AS lake-dashboard
COPY --from=build /out/lake-dashboard /usr/local/bin/lake-dashboard
COPY --from=page /out /usr/local/bin/dashboard-page
ENTRYPOINT ["lake-dashboard"]
CMD ["--config", "/etc/lake-dashboard/dashboard.toml", "--listen", "0.0.0.0:8080"]

FROM base AS lake-sql
COPY --from=build-sql /out/lake-sql /usr/local/bin/lake-sql
# Running statements have their time after SIGTERM.
STOPSIGNAL SIGTERM
ENTRYPOINT ["lake-sql"]
CMD ["--config", "/etc/lake-sql/lake-writer.toml", "--users", "/users/users", "--listen", "0.0.0.0:5433", "--allow-plaintext"]
