//! placeholder
use super::row::Row;
/// Rows.
pub static ROWS: [Row; 0] = [];
