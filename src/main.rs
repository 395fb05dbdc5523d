//! The `redis-ring` command: everything it does is in the library's `cli`.

fn main() -> std::process::ExitCode {
    redis_ring::cli::main()
}
