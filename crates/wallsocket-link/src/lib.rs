//! A link between two lab hosts: forwards frames and impairs them, seeded.
