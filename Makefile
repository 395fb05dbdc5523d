# `make` alone lists what there is.
.DEFAULT_GOAL := help
.PHONY: help deps test chaos demo bench bench-instructions lint table

ARGS ?=

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | while IFS="$$(printf '\t')" read -r target text; do \
		printf '  make %-18s %s\n' "$$target" "$$text"; done

deps: ## install redis-server and ZooKeeper where they are missing (Debian), or say what to install
	@.ci/deps

test: deps ## all tests, against real servers on loopback
	cargo test --all-features

chaos: deps ## faults of every kind under load, and what must hold; ARGS="--minutes 30", "--seed S", "--round N", "--fault NAME", "--controls", "--table", "-o json"
	cargo test --quiet --all-features $(if $(findstring --table,$(ARGS)),--release) --test chaos -- $(if $(ARGS),$(ARGS),--minutes 10)

demo: deps ## a whole ring on this machine, a server killed under load and brought back; ARGS="-o json" and the like are passed on
	cargo run --release --features cli --bin redis-ring -- demo $(ARGS)

bench: deps ## the benchmarks
	cargo bench --all-features $(ARGS)

bench-instructions: deps ## the gate: fails where a GET takes more instructions than it may; needs valgrind, else skipped
	cargo bench --all-features --bench instructions

lint: ## format, clippy, docs, and cargo-deny where it is installed
	cargo fmt --check
	cargo clippy --all-targets --all-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --all-features
	@if command -v cargo-deny >/dev/null; then cargo deny check; else echo "cargo-deny is not installed: skipped"; fi

table: deps ## write the command table and docs/commands.md anew from a live server
	UPDATE_TABLE=1 cargo test --all-features --test command_table the_table_is
	UPDATE_TABLE=1 cargo test --all-features --test command_table
