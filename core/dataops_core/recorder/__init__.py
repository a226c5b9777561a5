"""Record health snapshots, read them back, and report the incidents in them."""
