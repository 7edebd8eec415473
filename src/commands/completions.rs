//! `slatest completions`: what a shell needs to complete the command line.

use clap::{Args, CommandFactory as _};
use clap_complete::{Shell, generate};

use super::{Cli, Exit};
use slatest_core::terminal::print_all;

/// Arguments of `slatest completions`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  slatest completions bash > ~/.local/share/bash-completion/completions/slatest
  slatest completions zsh > \"${fpath[1]}/_slatest\"
  slatest completions fish > ~/.config/fish/completions/slatest.fish")]
pub struct CompletionsArgs {
    /// For which shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints them.
pub fn run(args: &CompletionsArgs) -> Exit {
    print_all(&script(args.shell));
    Exit::Pass
}

fn script(shell: Shell) -> String {
    let mut bytes = Vec::new();
    generate(shell, &mut Cli::command(), "slatest", &mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn every_shell_learns_every_verb() {
        let command = Cli::command();
        for shell in Shell::value_variants() {
            let script = script(*shell);
            for verb in command.get_subcommands() {
                assert!(script.contains(verb.get_name()), "{shell}: {}", verb.get_name());
            }
            assert!(script.contains("profile"), "{shell}");
        }
    }
}
