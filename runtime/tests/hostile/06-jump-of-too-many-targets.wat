;; One target more than a br_table may have.
(module
  (func (br_table {{1026*0 }}(i32.const 0)))
  (memory (export "memory") 1 2)
  (func (export "zapp_main") (param i32 i32) (result i32) (i32.const 0)))
