//! vodbridge
