//! Owns the names of places in the code, as libFuzzer asks for them when it prints coverage; a sanitizer would bring them.
//! It must not be called by anything else.

use std::ffi::{CStr, CString, c_char, c_int, c_void};

/// What is known of a place: `%F` the function, `%s` the file, `%l` the line, `%L` the last two.
#[unsafe(no_mangle)]
extern "C" fn __sanitizer_symbolize_pc(pc: *mut c_void, format: *const c_char, out: *mut c_char, len: usize) {
    // SAFETY: libFuzzer hands over a format that ends with a zero.
    let format = unsafe { CStr::from_ptr(format) }.to_string_lossy().into_owned();
    let (mut function, mut file, mut line) = (String::from("?"), String::from("?"), 0);
    // What is told last is the function itself, after all that is inlined into it; what is meant is the innermost place.
    let mut is_first = true;
    backtrace::resolve(pc, |symbol| {
        if std::mem::take(&mut is_first) {
            function = symbol.name().map(|name| format!("{name:#}")).unwrap_or(function.clone());
            file = symbol.filename().map(|name| name.display().to_string()).unwrap_or(file.clone());
            line = symbol.lineno().unwrap_or(0);
        }
    });
    let place = format!("{file}:{line}");
    let text = format.replace("%F", &function).replace("%L", &place).replace("%s", &file);
    let text = text.replace("%l", &line.to_string()).replace("%p", &format!("{pc:?}")).replace('\0', "");
    let text = CString::new(text).expect("zeros were taken out");
    let bytes = text.as_bytes_with_nul();
    if len == 0 {
        return;
    }
    let count = bytes.len().min(len);
    // SAFETY: libFuzzer hands over room for `len` bytes, and no more than that are written; the last one is a zero.
    unsafe {
        std::ptr::copy_nonoverlapping(bytes.as_ptr().cast::<c_char>(), out, count);
        *out.add(count - 1) = 0;
    }
}

/// Which file a place is loaded from, and where in it: there is only one file.
#[unsafe(no_mangle)]
extern "C" fn __sanitizer_get_module_and_offset_for_pc(
    pc: *mut c_void,
    module: *mut c_char,
    len: usize,
    offset: *mut *mut c_void,
) -> c_int {
    if len == 0 {
        return 0;
    }
    // SAFETY: libFuzzer hands over room for `len` bytes and for the offset.
    unsafe {
        *module = 0;
        *offset = pc;
    }
    1
}
