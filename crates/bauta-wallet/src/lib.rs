//! The customer's agent: holdings, purchases, recovery.
