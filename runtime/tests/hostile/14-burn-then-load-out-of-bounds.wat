;; A trap after 100,000 turns costs the turns.
(module
  (memory (export "memory") 1 2)
  (func (export "zapp_main") (param i32 i32) (result i32) (local i32 i64)
    (loop (br_if 0 (i32.lt_u (local.tee 2 (i32.add (local.get 2) (i32.const 1))) (i32.const 100000))))
    (drop (i32.load (i32.const -1)))
    (i32.const 0)))
