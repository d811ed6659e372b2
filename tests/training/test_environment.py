from lakegate.training.environment import package_versions


def test_package_versions_name_what_is_installed_and_leave_out_what_is_not():
    versions = package_versions()
    assert {"torch", "numpy", "onnxruntime"} <= set(versions)
    assert all(version[0].isdigit() for version in versions.values())
