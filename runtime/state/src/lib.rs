//! The committee's state: authenticated tree, witness, system zApp, and the step that turns a job into a commit.
