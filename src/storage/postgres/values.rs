//! Owns the values that go to a server, in binary: each says its type, so that statements need few casts.
//! It must not know what statements they belong to.

use std::error::Error as StdError;

use bytes::BytesMut;
use postgres_protocol::types::{self, ArrayDimension};
use postgres_protocol::{IsNull, Oid};

/// Types by their number in every server (`pg_type.dat`).
pub(super) mod oid {
    use postgres_protocol::Oid;

    pub const BOOL: Oid = 16;
    pub const BYTEA: Oid = 17;
    pub const NAME: Oid = 19;
    pub const INT8: Oid = 20;
    pub const INT2: Oid = 21;
    pub const INT4: Oid = 23;
    pub const TEXT: Oid = 25;
    pub const OID: Oid = 26;
    pub const JSON: Oid = 114;
    pub const FLOAT8: Oid = 701;
    pub const UNKNOWN: Oid = 705;
    pub const BOOL_ARRAY: Oid = 1000;
    pub const BYTEA_ARRAY: Oid = 1001;
    pub const INT2_ARRAY: Oid = 1005;
    pub const INT4_ARRAY: Oid = 1007;
    pub const TEXT_ARRAY: Oid = 1009;
    pub const INT8_ARRAY: Oid = 1016;
    pub const FLOAT8_ARRAY: Oid = 1022;
    pub const BPCHAR: Oid = 1042;
    pub const VARCHAR: Oid = 1043;
    pub const UUID: Oid = 2950;
    pub const JSONB: Oid = 3802;
}

/// Why a value cannot be sent.
pub type Unfit = Box<dyn StdError + Sync + Send>;

/// A value of a type that is known without looking at it: a null of it has the same.
pub trait Value {
    /// Its type.
    const OID: Oid;

    /// Appends it, or says that it is null.
    ///
    /// # Errors
    /// When the type cannot hold it.
    fn put(&self, out: &mut BytesMut) -> Result<IsNull, Unfit>;
}

/// A value that can be in an array.
pub trait Element: Value {
    /// The type of the array.
    const ARRAY_OID: Oid;
}

/// Any value, as the parameters of a statement and the fields of a row are.
pub trait Param {
    /// Its type.
    fn oid(&self) -> Oid;

    /// Appends it, or says that it is null.
    ///
    /// # Errors
    /// When the type cannot hold it.
    fn write(&self, out: &mut BytesMut) -> Result<IsNull, Unfit>;
}

impl<T: Value + ?Sized> Param for T {
    fn oid(&self) -> Oid {
        T::OID
    }

    fn write(&self, out: &mut BytesMut) -> Result<IsNull, Unfit> {
        self.put(out)
    }
}

/// Types that are written as one call of the codec.
macro_rules! plain {
    ($($type:ty, $oid:ident, $array:ident, $put:path;)*) => {
        $(
            impl Value for $type {
                const OID: Oid = oid::$oid;

                fn put(&self, out: &mut BytesMut) -> Result<IsNull, Unfit> {
                    $put(*self, out);
                    Ok(IsNull::No)
                }
            }

            impl Element for $type {
                const ARRAY_OID: Oid = oid::$array;
            }
        )*
    };
}

plain! {
    bool, BOOL, BOOL_ARRAY, types::bool_to_sql;
    i16, INT2, INT2_ARRAY, types::int2_to_sql;
    i32, INT4, INT4_ARRAY, types::int4_to_sql;
    i64, INT8, INT8_ARRAY, types::int8_to_sql;
    f64, FLOAT8, FLOAT8_ARRAY, types::float8_to_sql;
}

impl Value for str {
    const OID: Oid = oid::TEXT;

    fn put(&self, out: &mut BytesMut) -> Result<IsNull, Unfit> {
        // PostgreSQL takes no zero bytes in texts. Who sends one must not keep all that comes with it from being written.
        match self.contains('\0') {
            true => types::text_to_sql(&self.replace('\0', "\u{fffd}"), out),
            false => types::text_to_sql(self, out),
        }
        Ok(IsNull::No)
    }
}

impl Element for str {
    const ARRAY_OID: Oid = oid::TEXT_ARRAY;
}

impl Value for [u8] {
    const OID: Oid = oid::BYTEA;

    fn put(&self, out: &mut BytesMut) -> Result<IsNull, Unfit> {
        types::bytea_to_sql(self, out);
        Ok(IsNull::No)
    }
}

impl Element for [u8] {
    const ARRAY_OID: Oid = oid::BYTEA_ARRAY;
}

impl<const LEN: usize> Value for [u8; LEN] {
    const OID: Oid = oid::BYTEA;

    fn put(&self, out: &mut BytesMut) -> Result<IsNull, Unfit> {
        self.as_slice().put(out)
    }
}

impl<const LEN: usize> Element for [u8; LEN] {
    const ARRAY_OID: Oid = oid::BYTEA_ARRAY;
}

impl<T: Element> Value for [T] {
    const OID: Oid = T::ARRAY_OID;

    fn put(&self, out: &mut BytesMut) -> Result<IsNull, Unfit> {
        let len = i32::try_from(self.len()).map_err(|_| "an array with too many elements")?;
        // An empty one has no dimension.
        let dimension = (len > 0).then_some(ArrayDimension { len, lower_bound: 1 });
        types::array_to_sql(dimension, T::OID, self, T::put, out)?;
        Ok(IsNull::No)
    }
}

/// What is written as what it leads to.
macro_rules! leading {
    ($($type:ty => $to:ty;)*) => {
        $(
            impl Value for $type {
                const OID: Oid = <$to>::OID;

                fn put(&self, out: &mut BytesMut) -> Result<IsNull, Unfit> {
                    <$to as Value>::put(self, out)
                }
            }

            impl Element for $type {
                const ARRAY_OID: Oid = <$to>::ARRAY_OID;
            }
        )*
    };
}

leading! {
    String => str;
    Box<str> => str;
    std::sync::Arc<str> => str;
}

impl<T> Value for Vec<T>
where
    [T]: Value,
{
    const OID: Oid = <[T]>::OID;

    fn put(&self, out: &mut BytesMut) -> Result<IsNull, Unfit> {
        self.as_slice().put(out)
    }
}

impl Element for Vec<u8> {
    const ARRAY_OID: Oid = oid::BYTEA_ARRAY;
}

impl<T: Value + ?Sized> Value for &T {
    const OID: Oid = T::OID;

    fn put(&self, out: &mut BytesMut) -> Result<IsNull, Unfit> {
        T::put(self, out)
    }
}

impl<T: Element + ?Sized> Element for &T {
    const ARRAY_OID: Oid = T::ARRAY_OID;
}

impl<T: Value> Value for Option<T> {
    const OID: Oid = T::OID;

    fn put(&self, out: &mut BytesMut) -> Result<IsNull, Unfit> {
        self.as_ref().map_or(Ok(IsNull::Yes), |value| value.put(out))
    }
}

impl<T: Element> Element for Option<T> {
    const ARRAY_OID: Oid = T::ARRAY_OID;
}

/// What fits into nothing.
#[cfg(test)]
pub(super) struct Odd;

#[cfg(test)]
impl Value for Odd {
    const OID: Oid = oid::TEXT;

    fn put(&self, _: &mut BytesMut) -> Result<IsNull, Unfit> {
        Err("odd".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: &dyn Param) -> (Oid, Option<Vec<u8>>) {
        let mut out = BytesMut::new();
        let is_null = value.write(&mut out).expect("it fits");
        (value.oid(), matches!(is_null, IsNull::No).then(|| out.to_vec()))
    }

    #[test]
    fn values_and_their_nulls_have_one_type() {
        assert_eq!(written(&7_i64), (20, Some(vec![0, 0, 0, 0, 0, 0, 0, 7])));
        assert_eq!(written(&Some(-1_i16)), (21, Some(vec![0xff, 0xff])));
        assert_eq!(written(&None::<i32>), (23, None));
        assert_eq!(written(&None::<&str>), (25, None));
        assert_eq!(written(&Some("ä".to_owned())), (25, Some("ä".as_bytes().to_vec())));
        assert_eq!(written(&&[1_u8, 2][..]), (17, Some(vec![1, 2])));
        assert_eq!(written(&vec![1_u8, 2]), (17, Some(vec![1, 2])));
        assert_eq!(written(&true), (16, Some(vec![1])));
        assert_eq!(written(&1.5_f64).0, 701);
    }

    #[test]
    fn arrays_count_their_elements_and_hold_nulls() {
        let header =
            |dimensions: u8, has_nulls: u8, oid: u8| vec![0, 0, 0, dimensions, 0, 0, 0, has_nulls, 0, 0, 0, oid];
        let mut expected = header(1, 1, 21);
        expected.extend([0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 5, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(written(&vec![Some(5_i16), None]), (1005, Some(expected)));
        assert_eq!(written(&Vec::<i64>::new()), (1016, Some(header(0, 0, 20))));
        assert_eq!(written(&vec!["a", "b"]).0, 1009);
        assert_eq!(written(&vec![vec![1_u8]]).0, 1001);
        assert_eq!(written(&vec![&[1_u8][..]]).0, 1001);
        assert_eq!(written(&None::<Vec<i32>>), (1007, None));
    }

    #[test]
    fn a_zero_byte_in_a_text_is_told_by_another_character() {
        assert_eq!(written(&"a\0b"), (25, Some("a\u{fffd}b".into())));
        assert_eq!(written(&vec!["\0"]), written(&vec!["\u{fffd}"]));
    }
}
