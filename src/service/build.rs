//! Packs the files of the page as they are sent: compressed once, here, and not at each start.
//! It must not change what is in them, but for the addresses in the document.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

/// Where the files stand.
const FOLDER: &str = "web/assets";
/// The file that each address of the page is answered with.
const DOCUMENT: &str = "index.html";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed={FOLDER}");
    let mut files = Vec::new();
    walk(Path::new(FOLDER), &mut files)?;
    files.sort();
    // Another one for other files. A check sum is enough, as nobody else chooses them.
    let mut sum = crc32fast::Hasher::new();
    for (name, text) in &files {
        sum.update(name.as_bytes());
        sum.update(text.as_bytes());
    }
    let place = format!("/assets/{:08x}", sum.finalize());

    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?);
    let (mut document, mut assets) = (String::new(), String::new());
    for (name, text) in &files {
        let (path, text) = match name.as_str() {
            DOCUMENT => ("/".to_owned(), &document_of(text, &place, &files)),
            _ => (format!("{place}/{name}"), text),
        };
        let packed = out.join(format!("{}.gz", name.replace('/', "-")));
        fs::write(&packed, gzip(text)?)?;
        let (media_type, len) = (media_type(name), text.len());
        let asset = format!(
            "Asset {{ path: {path:?}, media_type: {media_type:?}, len: {len}, gzip: include_bytes!({packed:?}) }}"
        );
        match name.as_str() {
            DOCUMENT => document = asset,
            _ => writeln!(assets, "    {asset},").map_err(io::Error::other)?,
        }
    }
    let table = format!("const DOCUMENT: Asset = {document};\nconst ASSETS: &[Asset] = &[\n{assets}];\n");
    fs::write(out.join("assets.rs"), table)
}

/// The names and texts of the files in a folder and those below it.
fn walk(folder: &Path, files: &mut Vec<(String, String)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, files)?;
            continue;
        }
        let name = path.strip_prefix(FOLDER).map_err(io::Error::other)?;
        files.push((name.to_string_lossy().into_owned(), fs::read_to_string(&path)?));
    }
    Ok(())
}

/// The document, with where its files are, and all modules that it needs before it can begin. What comes before the first
/// paint is none.
fn document_of(text: &str, place: &str, files: &[(String, String)]) -> String {
    let modules = files.iter().map(|(name, _)| name).filter(|name| name.ends_with(".js") && *name != "theme.js");
    let preload: String =
        modules.map(|name| format!("<link rel=\"modulepreload\" href=\"{place}/{name}\">\n")).collect();
    text.replace("{preload}\n", &preload).replace("{assets}", place)
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "html")) => "text/html; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        _ => "text/javascript; charset=utf-8",
    }
}

fn gzip(text: &str) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text.as_bytes())?;
    encoder.finish()
}
