;; One br_table of a million targets. Its body is longer than a body may be.
(module
  (func (br_table {{1000000*0 }}(i32.const 0)))
  (memory (export "memory") 1 2)
  (func (export "zapp_main") (param i32 i32) (result i32) (i32.const 0)))
