//! Owns the commands about the key that secrets are sealed with.
//! It must not touch a database.

use std::path::PathBuf;

use clap::Subcommand;

use crate::vault::{KeyFileError, Vault};

/// What can be done with a key.
#[derive(Subcommand, Debug)]
pub enum SecretsCommand {
    /// Make a new key in a file that only you can read; an existing file is never overwritten
    ///
    /// Start the server with `--secrets-key FILE` afterwards. Keep a copy of the file apart from the database and its
    /// backups: whoever has both can read the secrets, and without the key nobody can, nor does the server start.
    Init {
        /// Where the key is to be
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// Does what was asked for, and says what to do next.
pub(super) fn run(command: &SecretsCommand) -> Result<(), KeyFileError> {
    let SecretsCommand::Init { file } = command;
    Vault::make_file(file)?;
    let path = std::path::absolute(file).unwrap_or_else(|_| file.clone());
    println!("Key: {} (only its owner can read it)", path.display());
    println!("Next: start the server with it, and keep a copy apart from the database and its backups");
    println!("  punctual --secrets-key {}", path.display());
    Ok(())
}
