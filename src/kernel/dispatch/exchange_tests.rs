//! Owns the proof that answers come to the same however they are cut and whoever reads them, and that no bytes make the
//! exchange panic.
//! It must not need a socket.

use super::*;
use http::Method;

const POSTED: Asked = Asked { method: Method::POST, closes: false };

/// Feeds the pieces, then the end. What is decided by the head stays.
fn outcome<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Progress {
    told(pieces, &|_| Telling::Nothing).0
}

/// The same, and what the answer told where that is of interest.
fn told<'a>(pieces: impl Iterator<Item = &'a [u8]>, tells: &dyn Fn(u16) -> Telling) -> (Progress, Option<Box<str>>) {
    heard(Exchange::begin(POSTED), pieces, tells)
}

fn heard<'a>(
    mut exchange: Exchange,
    pieces: impl Iterator<Item = &'a [u8]>,
    tells: &dyn Fn(u16) -> Telling,
) -> (Progress, Option<Box<str>>) {
    let mut kept = Vec::new();
    let mut decided = None;
    let mut end = None;
    for piece in pieces {
        kept.extend_from_slice(piece);
        match exchange.read(&kept, &mut [0; 64], tells) {
            Progress::More(used) | Progress::Listening { used } => drop(kept.drain(..used)),
            Progress::Decided { status, used } => {
                assert_eq!(decided.replace(status), None, "it is decided once");
                kept.drain(..used);
            }
            progress => {
                end = Some(progress);
                break;
            }
        }
    }
    let end = end.unwrap_or_else(|| exchange.close());
    if let Some(decided) = decided {
        assert!(matches!(end, Progress::Whole { status, .. } if status == decided), "{decided}, {end:?}");
    }
    let told = exchange.take_told();
    (end, told.and_then(|told| told.response()))
}

const ANSWERS: [&[u8]; 8] = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nA: b\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 1\r\n\r\nx",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nA;x=\"y\"\r\n0123456789\r\n3\r\nabc\r\n0\r\nB: c\r\n\r\n",
    b"HTTP/1.0 500 No\r\n\r\nuntil the end",
    b"HTTP/1.1 204 None\r\nConnection: close\r\n\r\n",
    b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    b"HTTP/1.1 100 Continue\r\nA: b\r\n\r\nHTTP/1.1 100\nA: b\n\nHTTP/1.1 201 Made\r\nContent-Length: 1\r\n\r\nx",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;name=\"a long extension\"\r\nx\r\n0\r\n\r\n",
];

#[test]
fn pieces_do_not_matter() {
    for answer in ANSWERS {
        let whole = outcome([answer].into_iter());
        assert!(matches!(whole, Progress::Whole { .. }), "{}: {whole:?}", answer.escape_ascii());
        for len in 1..answer.len() {
            assert_eq!(outcome(answer.chunks(len)), whole, "{} by {len}", answer.escape_ascii());
        }
    }
}

#[test]
fn listening_changes_no_outcome_and_pieces_do_not_matter_to_what_is_told() {
    // The last one is framed in a way that the protocol core does not read.
    let bodies = ["hello", "x", "0123456789abc", "until the end", "", "", "x", ""];
    for (answer, body) in ANSWERS.into_iter().zip(bodies) {
        let whole = outcome([answer].into_iter());
        for len in 1..=answer.len() {
            let (end, told) = told(answer.chunks(len), &|_| Telling::Beginning);
            assert_eq!(
                (end, told.as_deref().unwrap_or_default()),
                (whole.clone(), body),
                "{} by {len}",
                answer.escape_ascii()
            );
        }
    }
}

#[test]
fn what_can_be_used_again_is_told() {
    for (answer, reusable) in
        [(0, true), (1, true), (2, true), (3, false), (4, false), (5, true), (6, true), (7, false)]
    {
        let Progress::Whole { reusable: told, .. } = outcome([ANSWERS[answer]].into_iter()) else { panic!() };
        assert_eq!(told, reusable, "{}", ANSWERS[answer].escape_ascii());
    }
    let unasked = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nmore";
    assert_eq!(outcome([&unasked[..]].into_iter()), Progress::Whole { status: 200, reusable: false });
}

#[test]
fn once_the_head_is_whole_nothing_changes_the_outcome() {
    let heads = ["Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", ""];
    for head in heads {
        let head = format!("HTTP/1.1 200 OK\r\n{head}\r\n");
        for body in [&b""[..], b"xyz\r\n", b"\xff\xff\xff", b"5\r\nabc", b"-1\r\n", b"5;;;;;;;;;;;;;;;;;;;;;;;;;;\r\n"]
        {
            let answer = [head.as_bytes(), body].concat();
            for len in [1, 7, answer.len()] {
                let end = outcome(answer.chunks(len));
                assert!(matches!(end, Progress::Whole { status: 200, .. }), "{}: {end:?}", answer.escape_ascii());
            }
        }
    }
}

#[test]
fn a_large_body_behind_a_head_in_pieces_does_not_make_the_head_large() {
    let answer = [&b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n"[..], &[b'x'; 60_000]].concat();
    let pieces = [&answer[..10], &answer[10..10 + ANSWER_HEAD_LEN_MAX], &answer[10 + ANSWER_HEAD_LEN_MAX..]];
    assert_eq!(outcome(pieces.into_iter()), Progress::Whole { status: 200, reusable: true });
}

/// Draws numbers below a bound, always the same ones.
fn dice(mut seed: u64) -> impl FnMut(usize) -> usize {
    move |below| {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        usize::try_from(seed >> 33).unwrap() % below.max(1)
    }
}

/// Changes some bytes of an answer.
fn damage(answer: &mut Vec<u8>, next: &mut impl FnMut(usize) -> usize) {
    for _ in 0..=next(4) {
        let at = next(answer.len());
        match next(4) {
            0 => answer[at] = u8::try_from(next(256)).unwrap(),
            1 if answer.len() > 1 => drop(answer.remove(at)),
            2 => answer.insert(at, b"\r\n0;: "[next(6)]),
            _ => answer.truncate(at.max(1)),
        }
    }
}

#[test]
fn damaged_answers_come_to_an_end_without_a_panic() {
    let mut next = dice(1);
    let mut whole = 0;
    for round in 0..20_000 {
        let mut answer = ANSWERS[round % ANSWERS.len()].to_vec();
        damage(&mut answer, &mut next);
        let len = 1 + next(answer.len());
        let end = outcome(answer.chunks(len));
        assert_eq!(told(answer.chunks(len), &|_| Telling::Beginning).0, end, "{}", answer.escape_ascii());
        whole += usize::from(matches!(end, Progress::Whole { .. }));
    }
    assert!(whole > 1_000 && whole < 19_000, "{whole}");
}

/// An answer as targets give them, or nearly.
fn drawn(next: &mut impl FnMut(usize) -> usize) -> Vec<u8> {
    const LINES: [&str; 10] = [
        "HTTP/1.1 200 OK",
        "HTTP/1.1 200 OK",
        "HTTP/1.1 201 Created",
        "HTTP/1.1 204 No Content",
        "HTTP/1.1 202 ",
        "HTTP/1.0 200 OK",
        "HTTP/1.1 304 Not Modified",
        "HTTP/1.1 503 No",
        "HTTP/1.1 302 There",
        "HTTP/1.1 299 Odd",
    ];
    const OTHERS: [&str; 12] = [
        "Date: Thu, 01 Jan 2026 01:10:31 GMT",
        "Server: x",
        "content-type: application/json",
        "Connection: keep-alive",
        "connection: Close",
        "Connection: keep-alive, x",
        "Transfer-Encoding: chunked",
        "X: \t y \t",
        "Location: /b",
        "Content-Length: 00",
        "connection: keep-alive",
        "A:",
    ];
    let body = vec![b'x'; [0, 0, 2, 2, 5, 60, 3_000, 70_000][next(8)]];
    let end = ["\r\n", "\r\n", "\r\n", "\n"][next(4)];
    let mut head = vec![LINES[next(LINES.len())].to_owned()];
    head.extend((0..next(3)).map(|_| OTHERS[next(OTHERS.len())].to_owned()));
    let length = body.len().saturating_add_signed([0, 0, 0, 0, 1, -1][next(6)]);
    let name = ["Content-Length", "content-length", "CONTENT-LENGTH"][next(3)];
    match next(16) {
        0 => {}
        1 => head.push(format!("{name}: {length}, {length}")),
        2 => head.extend([format!("{name}: {length}"), format!("{name}:{length}")]),
        3 => head.push(format!("{name}: +{length}")),
        _ => head.push(format!("{name}: {length}")),
    }
    let by = next(head.len());
    head[1..].rotate_left(by);
    let mut answer = (head.join(end) + end + end).into_bytes();
    answer.extend(body);
    if next(10) == 0 {
        answer.extend(b"HTTP/1.1 200 OK\r\n\r\n");
    }
    if next(8) == 0 {
        damage(&mut answer, next);
    }
    answer
}

#[test]
fn plain_answers_come_to_what_the_protocol_core_makes_of_them() {
    let mut next = dice(7);
    let mut plain = 0;
    for _ in 0..100_000 {
        let answer = drawn(&mut next);
        let method = [Method::POST, Method::PUT, Method::GET, Method::POST, Method::HEAD][next(5)].clone();
        let asked = Asked { method, closes: next(8) == 0 };
        let len = [answer.len(), 1 + next(answer.len()), 4_096, answer.len()][next(4)].max(answer.len() / 50 + 1);
        let tells = |status| if status < 300 { Telling::Nothing } else { Telling::Beginning };
        let core = heard(Exchange::begin_odd(asked.clone()), answer.chunks(len), &tells);
        let ours = heard(Exchange::begin(asked.clone()), answer.chunks(len), &tells);
        assert_eq!(ours, core, "{asked:?}, by {len}: {}", answer.escape_ascii());
        plain += usize::from(asked.is_plain() && plain::read(&answer[..len.min(answer.len())]).is_some());
    }
    assert!(plain > 20_000 && plain < 80_000, "{plain}");
}

#[test]
fn a_head_that_comes_byte_by_byte_is_parsed_once_a_line() {
    let mut exchange = Exchange::begin(POSTED);
    let mut kept = b"HTTP/1.1 200 OK\r\nA: ".to_vec();
    assert_eq!(exchange.read(&kept, &mut [0; 64], &|_| Telling::Nothing), Progress::More(0));
    while kept.len() < ANSWER_HEAD_LEN_MAX {
        kept.push(b'x');
        assert_eq!(exchange.read(&kept, &mut [0; 64], &|_| Telling::Nothing), Progress::More(0));
    }
    kept.push(b'x');
    assert!(
        matches!(exchange.read(&kept, &mut [0; 64], &|_| Telling::Nothing), Progress::Unusable(why) if why.contains("32 KiB"))
    );
}
