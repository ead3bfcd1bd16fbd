from tilewright.compiler.ir.docs import supported_ops_page
from tilewright.compiler.ir.ops import OPS


def test_page_shows_every_operator_and_rule() -> None:
    page = supported_ops_page()
    for op in OPS:
        assert f"## {op.__name__}\n" in page
        for rule in op.RULES:
            assert rule.text
            assert rule.text in page
