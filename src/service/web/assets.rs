//! Owns the files of the page, as they are in the program.
//! It must not change them.

/// One file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asset {
    /// As the page names it.
    pub(super) name: &'static str,
    pub(super) text: &'static str,
}

impl Asset {
    /// What it is, by its name.
    pub(super) fn media_type(self) -> &'static str {
        if self.name.ends_with(".css") { "text/css; charset=utf-8" } else { "text/javascript; charset=utf-8" }
    }

    /// Whether it is a module, which the page needs before it can begin. What comes before the first paint is none.
    pub(super) fn is_module(self) -> bool {
        self.name.ends_with(".js") && self.name != "theme.js"
    }
}

macro_rules! assets {
    ($($name:literal),+ $(,)?) => { &[$(Asset { name: $name, text: include_str!(concat!("assets/", $name)) }),+] };
}

/// The document, but for where its files are.
pub(super) const DOCUMENT: &str = include_str!("assets/index.html");

/// All files but the document.
pub(super) const ASSETS: &[Asset] = assets![
    "style.css",
    "theme.js",
    "app.js",
    "api.js",
    "channels.js",
    "charts.js",
    "controls.js",
    "curl.js",
    "dom.js",
    "fields.js",
    "incidents.js",
    "live.js",
    "moments.js",
    "parts.js",
    "policies.js",
    "runs.js",
    "schedule.js",
    "time.js",
    "yaml.js",
    "views/alert-log.js",
    "views/alerts.js",
    "views/execution.js",
    "views/executions.js",
    "views/history.js",
    "views/home.js",
    "views/incident.js",
    "views/job-form.js",
    "views/job.js",
    "views/jobs.js",
    "views/sign-in.js",
    "views/system.js",
    "views/timeline.js",
    "views/why.js",
];

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn files(folder: &Path, below: &str, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).expect("the folder is there") {
            let entry = entry.expect("it can be listed");
            let name = format!("{below}{}", entry.file_name().to_string_lossy());
            match entry.path().is_dir() {
                true => files(&entry.path(), &format!("{name}/"), found),
                false => found.push(name),
            }
        }
    }

    #[test]
    fn every_file_is_served_and_none_is_large() {
        let mut found = Vec::new();
        files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("web/assets"), "", &mut found);
        found.retain(|name| name != "index.html");
        found.sort();
        let mut served: Vec<&str> = ASSETS.iter().map(|asset| asset.name).collect();
        served.sort_unstable();
        assert_eq!(found, served);
        let all = ASSETS.iter().map(|asset| asset.text).chain([DOCUMENT]);
        let (mut bytes, mut lines) = (0, 0);
        for text in all {
            assert!(text.lines().count() <= 400, "a file of the page is two things: {}", &text[..60]);
            (bytes, lines) = (bytes + text.len(), lines + text.lines().count());
        }
        assert!(bytes <= 216 * 1024, "{bytes} bytes");
        assert!(lines <= 4200, "{lines} lines");
    }

    #[test]
    fn text_from_elsewhere_is_never_taken_for_markup_or_code() {
        let ways_in =
            ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "DOMParser", "eval(", "Function("];
        for asset in ASSETS {
            for way in ways_in {
                assert!(!asset.text.contains(way), "{} has {way}", asset.name);
            }
            let from_elsewhere = asset.text.contains("https://cdn") || asset.text.contains("@import");
            assert!(!from_elsewhere, "{} loads something from elsewhere", asset.name);
        }
        assert!(
            !DOCUMENT.contains("<script>") && !DOCUMENT.contains("style="),
            "nothing stands in the document itself"
        );
    }
}
