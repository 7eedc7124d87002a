//! Owns what is made of the commands themselves: completions for shells, and man pages.
//! It must not know a command.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Command, ValueEnum};
use clap_complete::Shell;

/// Completions.
#[derive(Args, Debug)]
pub(super) struct CompletionsArguments {
    /// For which shell: bash, elvish, fish, powershell or zsh
    #[arg(value_name = "SHELL")]
    shell: String,
}

/// Man pages.
#[derive(Args, Debug)]
pub(super) struct ManArguments {
    /// Write a page for each command into this folder, instead of the first one to standard output
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

/// Prints completions.
///
/// # Errors
/// What was expected, or what went wrong.
pub(super) fn complete(typed: &CompletionsArguments, command: &mut Command) -> Result<(), String> {
    let shell = Shell::from_str(&typed.shell, true);
    let shell =
        shell.map_err(|_| format!("SHELL: expected bash, elvish, fish, powershell or zsh, got {:?}", typed.shell))?;
    let mut text = Vec::new();
    clap_complete::generate(shell, command, "punctual", &mut text);
    written(io::stdout().write_all(&text))
}

/// A reader that has had enough, as `head` has, is no failure.
fn written(result: io::Result<()>) -> Result<(), String> {
    match result {
        Err(why) if why.kind() != io::ErrorKind::BrokenPipe => Err(why.to_string()),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Prints the man page, or writes all of them.
///
/// # Errors
/// What went wrong.
pub(super) fn man(typed: &ManArguments, mut command: Command) -> Result<(), String> {
    command.build();
    match &typed.dir {
        None => written(clap_mangen::Man::new(command).render(&mut io::stdout())),
        Some(folder) => {
            std::fs::create_dir_all(folder).map_err(|why| format!("{}: {why}", folder.display()))?;
            write(folder, &command, "punctual")
        }
    }
}

fn write(folder: &Path, command: &Command, name: &str) -> Result<(), String> {
    let path = folder.join(format!("{name}.1"));
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone().display_name(name.to_owned()))
        .render(&mut page)
        .map_err(|why| why.to_string())?;
    std::fs::write(&path, page).map_err(|why| format!("{}: {why}", path.display()))?;
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        write(folder, inner, &format!("{name}-{}", inner.get_name()))?;
    }
    Ok(())
}
