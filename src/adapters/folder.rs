//! A policy tree in a folder: its files, and when they change.
