//! What Millrace writes.
