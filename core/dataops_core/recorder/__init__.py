"""Record health snapshots, read them back, and tell the incidents in them."""
