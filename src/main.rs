//! The `adit` executable: everything is in the library.

fn main() -> std::process::ExitCode {
    adit::cli::main()
}
