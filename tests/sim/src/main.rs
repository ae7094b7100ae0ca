use clap::ValueEnum;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let profile = sim::knobs::Profile::from_str(&a[1], true).unwrap();
    let (lo, hi): (u64, u64) = (a[2].parse().unwrap(), a[3].parse().unwrap());
    let mut plan = sim::run::Plan::of(profile);
    plan.story = hi == lo + 1 && a.len() > 4;
    let t = std::time::Instant::now();
    let mut counts = sim::counts::Counts::default();
    let (mut ms, mut worst) = (0, 0);
    for seed in lo..hi {
        let o = sim::run::run(seed, &plan);
        for l in &o.lines {
            println!("{l}");
        }
        if let Some(v) = &o.violation {
            println!("seed {seed}: {v} at {} [{}]", v.at_ms, o.knobs);
        }
        counts.merge(&o.counts);
        ms += o.simulated_ms;
        worst = worst.max(o.recovered_ms);
        if plan.story || hi - lo < 5 {
            println!(
                "{seed} head {} events {} rec {} hash {}",
                o.head, o.events, o.recovered_ms, o.hash
            );
        }
    }
    let e = t.elapsed().as_secs_f64();
    println!(
        "{} seeds, {:.1} seeds/s, {}x, worst recovery {}",
        hi - lo,
        (hi - lo) as f64 / e,
        ms as f64 / 1000.0 / e,
        worst
    );
    for (w, c) in counts.iter() {
        println!("  {w}: {c}");
    }
    for w in sim::counts::MUST_REACH {
        if counts.of(w) == 0 {
            println!("  MISSING {w}");
        }
    }
}
