import subprocess
import sys

TORCH_FREE = (
    *("groups", "advantages", "baselines", "returns", "passk", "evidence", "estimators"),
    *("aggregation", "intervals", "controllers"),
)


def test_what_a_record_needs_imports_without_torch():
    imports = "; ".join(f"import sibling.maths.{m}" for m in TORCH_FREE)
    code = f"import sys; {imports}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
