//! The program `remuda`.

fn main() -> std::process::ExitCode {
    remuda::run(std::env::args_os())
}
