//! Owns the files of the page, as they are in the program: `build.rs` of this package packs whatever stands in `assets/`.
//! It must not change them.

use std::io::Read;

use flate2::read::GzDecoder;

/// One file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asset {
    /// Where it is served. Of another text it is another one, but for the document.
    pub(super) path: &'static str,
    pub(super) media_type: &'static str,
    /// How long it is unpacked.
    len: usize,
    pub(super) gzip: &'static [u8],
}

impl Asset {
    /// What is in it.
    pub(super) fn plain(&self) -> Vec<u8> {
        let mut plain = Vec::with_capacity(self.len);
        GzDecoder::new(self.gzip).read_to_end(&mut plain).expect("it was packed when this was built");
        plain
    }
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// What each address of the page is answered with.
pub(super) fn document() -> &'static Asset {
    &DOCUMENT
}

/// What is served at this path, if it is one of the files.
pub(super) fn asset(path: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.path == path)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// The files in a folder, by their names.
    fn files(folder: &Path, below: &str, found: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(folder).expect("the folder is there") {
            let entry = entry.expect("it can be listed");
            let name = format!("{below}{}", entry.file_name().to_string_lossy());
            match entry.path().is_dir() {
                true => files(&entry.path(), &format!("{name}/"), found),
                false => found.push((name, fs::read_to_string(entry.path()).expect("it is text"))),
            }
        }
    }

    fn all() -> Vec<(String, String)> {
        let mut found = Vec::new();
        files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("web/assets"), "", &mut found);
        assert!(found.len() > 30, "the walk must find the files");
        found
    }

    #[test]
    fn every_file_is_served_as_it_is_and_none_is_large() {
        let (mut bytes, mut lines) = (0, 0);
        for (name, text) in all() {
            assert!(text.lines().count() <= 400, "{name} is two things");
            (bytes, lines) = (bytes + text.len(), lines + text.lines().count());
            let mut served = ASSETS.iter().filter(|asset| asset.path.ends_with(&format!("/{name}")));
            if name != "index.html" {
                assert_eq!(served.next().map(Asset::plain), Some(text.into_bytes()), "{name}");
            }
            assert!(served.next().is_none(), "{name} is served twice");
        }
        assert_eq!(ASSETS.len() + 1, all().len());
        assert!(bytes <= 216 * 1024, "{bytes} bytes");
        assert!(lines <= 4200, "{lines} lines");
    }

    #[test]
    fn text_from_elsewhere_is_never_taken_for_markup_or_code() {
        let ways_in =
            ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "DOMParser", "eval(", "Function("];
        for (name, text) in all() {
            for way in ways_in {
                assert!(!text.contains(way), "{name} has {way}");
            }
            assert!(
                !text.contains("https://cdn") && !text.contains("@import"),
                "{name} loads something from elsewhere"
            );
            let is_document = name == "index.html";
            assert!(
                !is_document || (!text.contains("<script>") && !text.contains("style=")),
                "code in the document itself"
            );
        }
    }
}
