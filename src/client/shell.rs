//! Owns taking a line of shell apart: its commands, each as its words.
//! It must not run anything, nor fill in a variable.

/// The commands of a line. Where their output goes is nothing that a job has.
pub(crate) fn commands(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        if let Some((text, after)) = quoted(rest) {
            word.get_or_insert_default().push_str(&text);
            rest = after;
            continue;
        }
        if let Some(after) = redirection(rest) {
            // What stands in front may be the number of what is redirected.
            if word.as_deref().is_some_and(|word| word.bytes().all(|byte| byte.is_ascii_digit())) {
                word = None;
            }
            end(&mut commands, &mut word);
            rest = after;
            continue;
        }
        let after = &rest[first.len_utf8()..];
        match first {
            '|' | ';' | '&' | '\n' | '(' | ')' => {
                end(&mut commands, &mut word);
                commands.push(Vec::new());
            }
            first if first.is_whitespace() => end(&mut commands, &mut word),
            // A comment, up to the end of the line.
            '#' if word.is_none() => {
                rest = after.find('\n').map_or("", |end| &after[end..]);
                continue;
            }
            // In a crontab a percent sign is written behind a backslash.
            '\\' => {
                let next = after.chars().next();
                word.get_or_insert_default().extend(next);
                rest = &after[next.map_or(0, char::len_utf8)..];
                continue;
            }
            first => word.get_or_insert_default().push(first),
        }
        rest = after;
    }
    end(&mut commands, &mut word);
    commands.retain(|words| !words.is_empty());
    commands
}

/// What in a line only the shell knows: a variable, or what a command says. In single quotes it stands for itself.
pub(crate) fn unknown(line: &str) -> Option<&str> {
    let mut rest = line;
    while let Some(place) = rest.find(['\'', '\\', '$', '`']) {
        let (sign, behind) = (rest.as_bytes()[place], &rest[place + 1..]);
        rest = match sign {
            // Within double quotes an apostrophe is one.
            b'\'' if line[..line.len() - rest.len() + place].matches('"').count().is_multiple_of(2) => {
                &behind[behind.find('\'')? + 1..]
            }
            b'\\' => {
                let mut chars = behind.chars();
                chars.next();
                chars.as_str()
            }
            b'`' => return Some("`"),
            b'$' if behind.starts_with(|char: char| char.is_ascii_alphanumeric() || "_{(?!#@*$-".contains(char)) => {
                let long = behind.find(|char: char| !char.is_ascii_alphanumeric() && !"_{(".contains(char));
                return Some(&rest[place..place + 1 + long.unwrap_or(behind.len())]);
            }
            _ => behind,
        };
    }
    None
}

fn end(commands: &mut [Vec<String>], word: &mut Option<String>) {
    if let (Some(last), Some(word)) = (commands.last_mut(), word.take()) {
        last.push(word);
    }
}

/// A quoted text at the beginning, and what is behind it. Without its end it is none.
fn quoted(rest: &str) -> Option<(String, &str)> {
    if let Some(inner) = rest.strip_prefix('\'') {
        let end = inner.find('\'')?;
        return Some((inner[..end].to_owned(), &inner[end + 1..]));
    }
    let (inner, quote) = match rest.strip_prefix("$'") {
        Some(inner) => (inner, '\''),
        None => (rest.strip_prefix('"')?, '"'),
    };
    let mut text = String::new();
    let mut chars = inner.char_indices();
    while let Some((place, char)) = chars.next() {
        match char {
            char if char == quote => return Some((text, &inner[place + 1..])),
            '\\' => match chars.next()?.1 {
                'n' if quote == '\'' => text.push('\n'),
                't' if quote == '\'' => text.push('\t'),
                'r' if quote == '\'' => text.push('\r'),
                other if quote == '"' && !matches!(other, '"' | '\\' | '$' | '`') => text.extend(['\\', other]),
                other => text.push(other),
            },
            char => text.push(char),
        }
    }
    None
}

/// What is behind a redirection at the beginning: `>FILE`, `>>FILE`, `<FILE`, `>&1`, `&>FILE`.
fn redirection(rest: &str) -> Option<&str> {
    let to = rest
        .strip_prefix("&>")
        .or_else(|| rest.strip_prefix('>').map(|rest| rest.trim_start_matches('>')))
        .or_else(|| rest.strip_prefix('<'))?;
    let to = to.strip_prefix('&').unwrap_or(to).trim_start_matches([' ', '\t']);
    match quoted(to) {
        Some((_, after)) => Some(after),
        None => Some(to.trim_start_matches(|char: char| !char.is_whitespace() && !";|&<>".contains(char))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_the_shell_knows_is_found_where_it_counts() {
        for (line, found) in [
            ("curl $URL", Some("$URL")),
            ("curl \"https://a/$(date)\"", Some("$(date")),
            ("curl -H \"X: it's ${K}\" x", Some("${K")),
            ("curl `cat x`", Some("`")),
            ("curl https://a/$?", Some("$")),
            ("curl 'a $b `c`' \\$d 1$ $'e'", None),
        ] {
            assert_eq!(unknown(line), found, "{line}");
        }
    }

    #[test]
    fn lines_come_apart_as_a_shell_takes_them_apart() {
        let cases: &[(&str, &[&[&str]])] = &[
            ("curl -fsS https://a/b", &[&["curl", "-fsS", "https://a/b"]]),
            (
                "cd /app && curl 'a b' >/dev/null 2>&1 | tee -a \"x y\"",
                &[&["cd", "/app"], &["curl", "a b"], &["tee", "-a", "x y"]],
            ),
            ("a \"b \\\"c\\\" \\d\" $'e\\nf' 'it'\\''s' g\\%h", &[&["a", "b \"c\" \\d", "e\nf", "it's", "g%h"]]),
            ("a&>x b; c", &[&["a", "b"], &["c"]]),
            ("a 2> 'x y' 12", &[&["a", "12"]]),
            ("a 'open", &[&["a", "'open"]]),
            ("( a 'b' ) # c; d", &[&["a", "b"]]),
            ("a#b", &[&["a#b"]]),
            ("", &[]),
        ];
        for (line, expected) in cases {
            assert_eq!(commands(line), *expected, "{line}");
        }
    }
}
