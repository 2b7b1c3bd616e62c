import subprocess
import sys


def test_what_a_record_needs_imports_without_torch():
    modules = ("advantages", "aggregation", "groups", "intervals")
    code = f"import sys; {'; '.join(f'import sibling.maths.{m}' for m in modules)}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
