//! Owns the page that people look at: its files, under which addresses they are served, and what browsers are told of them.
//! It must not know the API, which the page asks like any other client, nor who asks: nothing here is secret.
//!
//! The files are written for browsers as they are: plain modules, one stylesheet, no build step but that they are packed.
//! They stand in `assets/`: one more is one file more there. Each address of the page is answered with the same document,
//! which finds out by itself what the address shows. `site` answers.

mod assets;
mod site;

pub use site::answer;
