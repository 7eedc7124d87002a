//! Owns rows on their way into and out of a server in bulk (COPY, in its binary format).
//! It must not know what is in them.

use std::ops::Range;

use bytes::{BufMut, BytesMut};
use postgres_protocol::IsNull;
use postgres_protocol::message::frontend;

use super::bounds::{COPY_PIECE_LEN, MESSAGE_LEN_MAX, PIPELINE_LEN_MAX};
use super::error::{Error, tame};
use super::rows::Row;
use super::values::Param;

/// What a copy begins with; its flags and the length of what follows them come behind.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
const HEADER_LEN: usize = SIGNATURE.len() + 8;

/// Rows on their way into a table.
#[derive(Debug)]
pub struct CopyRows<'a> {
    out: &'a mut BytesMut,
    /// Where the message begins that is being written.
    begin: usize,
    /// How many columns the first row has.
    width: Option<usize>,
    failed: Option<Error>,
}

impl<'a> CopyRows<'a> {
    pub(super) fn begin(out: &'a mut BytesMut) -> CopyRows<'a> {
        let begin = out.len();
        let mut rows = CopyRows { out, begin, width: None, failed: None };
        rows.open();
        rows.out.put_slice(SIGNATURE);
        rows.out.put_i32(0);
        rows.out.put_i32(0);
        rows
    }

    /// Adds a row. Each value must have just the type of its column.
    ///
    /// # Errors
    /// When a value does not fit, the row has not as many as the first one, or there are more than can be sent at once. Then
    /// nothing of the copy counts.
    pub fn row(&mut self, fields: &[&dyn Param]) -> Result<(), Error> {
        let begin = self.out.len();
        let added = self.add(fields);
        if let Err(why) = &added {
            self.out.truncate(begin);
            self.failed.get_or_insert_with(|| why.clone());
        }
        added
    }

    fn add(&mut self, fields: &[&dyn Param]) -> Result<(), Error> {
        let width = i16::try_from(fields.len()).map_err(|_| Error::Value("a row with too many columns".to_owned()))?;
        if *self.width.get_or_insert(fields.len()) != fields.len() {
            return Err(Error::Value("a row with another number of columns than the first one".to_owned()));
        }
        if self.out.len() > PIPELINE_LEN_MAX {
            return Err(Error::Value(format!("more than {PIPELINE_LEN_MAX} bytes to be sent at once")));
        }
        if self.out.len() - self.begin > COPY_PIECE_LEN {
            self.close()?;
            self.open();
        }
        self.out.put_i16(width);
        for (column, field) in fields.iter().enumerate() {
            let unfit = |why: &str| Error::Value(format!("column {column}: {why}"));
            let place = self.out.len();
            self.out.put_i32(-1);
            if let IsNull::No = field.write(self.out).map_err(|why| unfit(&why.to_string()))? {
                let len = i32::try_from(self.out.len() - place - 4).map_err(|_| unfit("it is too long"))?;
                self.out[place..place + 4].copy_from_slice(&len.to_be_bytes());
            }
        }
        Ok(())
    }

    /// Ends the last message, if all rows fitted with the end of the copy.
    pub(super) fn end(mut self, filled: Result<(), Error>) -> Result<(), Error> {
        let filled = self.failed.take().map_or(filled, Err);
        if filled.is_ok() {
            self.out.put_i16(-1);
        }
        self.close().and(filled)
    }

    fn open(&mut self) {
        self.begin = self.out.len();
        self.out.put_u8(b'd');
        self.out.put_i32(0);
    }

    fn close(&mut self) -> Result<(), Error> {
        let len = self.out.len() - self.begin - 1;
        let len = i32::try_from(len).map_err(|_| Error::Value("a row that is too long".to_owned()))?;
        self.out[self.begin + 1..self.begin + 5].copy_from_slice(&len.to_be_bytes());
        Ok(())
    }
}

/// Says that a copy is to fail.
pub(super) fn fail(why: &str, out: &mut BytesMut) {
    frontend::copy_fail(&tame(why.as_bytes()), out).expect("a tame text has no zero byte and is short");
}

/// Rows on their way out of a table.
#[derive(Debug, Default)]
pub(super) struct Unpacker {
    bytes: Vec<u8>,
    /// Up to where they were read.
    read: usize,
    fields: Vec<Option<Range<u32>>>,
    has_begun: bool,
    has_ended: bool,
}

impl Unpacker {
    /// Takes in another piece. It need not end where a row does.
    pub(super) fn push(&mut self, piece: &[u8]) {
        self.bytes.drain(..self.read);
        self.read = 0;
        self.bytes.extend_from_slice(piece);
    }

    /// The next row, if it is there as a whole.
    pub(super) fn next(&mut self) -> Result<Option<Row<'_>>, Error> {
        if !self.has_begun {
            let Some(header) = self.bytes.first_chunk::<HEADER_LEN>() else { return Ok(None) };
            // No flag is known that changes what follows, and nothing that could stand before the first row.
            if header != [SIGNATURE, &[0; 8]].concat().as_slice() {
                return Err(Error::protocol("a copy in an unknown format"));
            }
            self.has_begun = true;
            self.read = HEADER_LEN;
        }
        if self.has_ended {
            return if self.read == self.bytes.len() { Ok(None) } else { Err(malformed()) };
        }
        self.fields.clear();
        let Some(end) = unpack(&self.bytes, self.read, &mut self.fields)? else {
            if self.bytes.len() - self.read > MESSAGE_LEN_MAX {
                return Err(malformed());
            }
            return Ok(None);
        };
        self.read = end.place;
        if end.is_last {
            self.has_ended = true;
            return if self.read == self.bytes.len() { Ok(None) } else { Err(malformed()) };
        }
        Ok(Some(Row::untyped(&self.bytes, &self.fields)))
    }

    /// Sees whether nothing is missing.
    pub(super) fn end(&self) -> Result<(), Error> {
        if self.has_ended { Ok(()) } else { Err(Error::protocol("a copy without its end")) }
    }
}

/// Where something ends, and whether it was the end of all.
struct End {
    place: usize,
    is_last: bool,
}

/// The places of the fields of the row that begins at `place`, and its end. None: it is not there as a whole.
fn unpack(bytes: &[u8], mut place: usize, fields: &mut Vec<Option<Range<u32>>>) -> Result<Option<End>, Error> {
    let Some(width) = bytes[place..].first_chunk() else { return Ok(None) };
    place += 2;
    let width = match i16::from_be_bytes(*width) {
        -1 => return Ok(Some(End { place, is_last: true })),
        width => u16::try_from(width).map_err(|_| malformed())?,
    };
    for _ in 0..width {
        let Some(len) = bytes[place..].first_chunk() else { return Ok(None) };
        place += 4;
        fields.push(match i32::from_be_bytes(*len) {
            -1 => None,
            len => {
                let end = place.saturating_add(usize::try_from(len).map_err(|_| malformed())?);
                if end > bytes.len() {
                    return Ok(None);
                }
                let at = |place: usize| u32::try_from(place).map_err(|_| malformed());
                let range = at(place)?..at(end)?;
                place = end;
                Some(range)
            }
        });
    }
    Ok(Some(End { place, is_last: false }))
}

fn malformed() -> Error {
    Error::protocol("a malformed copy")
}

#[cfg(test)]
mod tests {
    use super::super::values::Odd;
    use super::*;

    /// The content of messages that say data of a copy.
    fn contents(mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        while !bytes.is_empty() {
            assert_eq!(bytes[0], b'd');
            let len = i32::from_be_bytes(*bytes[1..].first_chunk().expect("a length")) as usize;
            found.push(bytes[5..=len].to_vec());
            bytes = &bytes[len + 1..];
        }
        found
    }

    fn unpacked(pieces: &[Vec<u8>]) -> Result<Vec<(i64, Option<String>)>, Error> {
        let (mut unpacker, mut rows) = (Unpacker::default(), Vec::new());
        for piece in pieces {
            unpacker.push(piece);
            while let Some(row) = unpacker.next()? {
                rows.push((row.i64(0)?, row.opt_text(1)?.map(str::to_owned)));
            }
        }
        unpacker.end().map(|()| rows)
    }

    #[test]
    fn what_is_packed_is_unpacked_in_whatever_pieces() {
        let mut out = BytesMut::new();
        let mut rows = CopyRows::begin(&mut out);
        let texts: Vec<Option<String>> = (0..3_000).map(|n: usize| (n & 3 > 0).then(|| "x".repeat(n % 97))).collect();
        for (number, text) in texts.iter().enumerate() {
            rows.row(&[&(number as i64), text]).expect("it fits");
        }
        rows.end(Ok(())).expect("they fit");
        let pieces = contents(&out);
        assert!(pieces.len() > 1 && pieces.iter().all(|piece| piece.len() < 2 * COPY_PIECE_LEN));
        let expected: Vec<_> = texts.into_iter().enumerate().map(|(number, text)| (number as i64, text)).collect();
        assert_eq!(unpacked(&pieces), Ok(expected.clone()));
        let bytes: Vec<Vec<u8>> = pieces.concat()[..40_000].chunks(1).map(<[u8]>::to_vec).collect();
        assert_eq!(unpacked(&bytes), Err(Error::protocol("a copy without its end")));
        let sevens: Vec<Vec<u8>> = pieces.concat().chunks(7).map(<[u8]>::to_vec).collect();
        assert_eq!(unpacked(&sevens), Ok(expected));
    }

    #[test]
    fn a_row_that_does_not_fit_fails_the_copy_and_leaves_whole_messages() {
        let mut out = BytesMut::new();
        let mut rows = CopyRows::begin(&mut out);
        rows.row(&[&1_i64, &"a"]).expect("it fits");
        let why = rows.row(&[&2_i64, &Odd]).expect_err("it does not fit");
        assert!(why.to_string().contains("column 1: odd"), "{why}");
        assert!(rows.row(&[&2_i64]).is_err());
        // Even if whoever fills it does not mind.
        assert_eq!(rows.end(Ok(())), Err(why));
        assert_eq!(unpacked(&contents(&out)), Err(Error::protocol("a copy without its end")));
    }

    #[test]
    fn what_is_no_copy_is_refused() {
        let header = [SIGNATURE, &[0; 8]].concat();
        let whole = |rows: &[u8]| unpacked(&[[&header, rows].concat()]);
        assert_eq!(whole(&[0xff, 0xff]), Ok(vec![]));
        for rows in [&[0xff, 0xfe][..], &[0, 1, 0xff, 0xff, 0xff, 0xfe], &[0xff, 0xff, 0]] {
            assert_eq!(whole(rows), Err(malformed()), "{rows:?}");
        }
        assert!(unpacked(&[vec![b'x'; HEADER_LEN]]).is_err());
        assert!(unpacked(&[[SIGNATURE, &[0, 1, 0, 0, 0, 0, 0, 0]].concat()]).is_err());
        let claims = [0, 1, 0x7f, 0xff, 0xff, 0xff, 1];
        assert_eq!(whole(&claims), Err(Error::protocol("a copy without its end")));
    }
}
