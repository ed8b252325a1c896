"""Writes docs/claims.md from a results file:  python docs/claims.py DIR/results.json"""

import json
import sys
from pathlib import Path

from tokenlaw.answers.claim_pages import claims_page

if __name__ == "__main__":
    results = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    Path(__file__).with_name("claims.md").write_text(claims_page(results), encoding="utf-8")
